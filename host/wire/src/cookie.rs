//! Cookies of requests (RFC 6265, section 4.2).

use crate::fields::Fields;

/// The value of the first cookie of a name, as it is written. Names differ by case.
pub fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    let pairs = fields
        .get_all("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let rest = pair.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_that_of_the_first_cookie_of_the_name() {
        let mut fields = Fields::new();
        for line in ["sid2=x; SID=y", "a=b=c;sid=1; sid=2;  empty=", "q=\"z\""] {
            fields.append("Cookie", line.as_bytes()).expect("there is room");
        }
        for (name, found) in [
            ("sid", Some("1")),
            ("SID", Some("y")),
            ("a", Some("b=c")),
            ("empty", Some("")),
            ("q", Some("\"z\"")),
            ("si", None),
            ("x", None),
        ] {
            assert_eq!(value(&fields, name), found.map(str::as_bytes), "{name}");
        }
    }
}
