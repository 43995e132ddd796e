//! Cookies of requests (RFC 6265, section 4.2).

use crate::fields::Fields;

/// The values of the cookies of a name, as they are written. Names differ by case.
pub fn values<'a>(fields: &'a Fields, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = fields
        .get_all("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).filter_map(move |pair| {
        let rest = pair.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_cookies_of_the_name_in_order() {
        let mut fields = Fields::new();
        for line in ["sid2=x; SID=y", "a=b=c;sid=1; sid=2;  empty=", "q=\"z\""] {
            fields.append("Cookie", line.as_bytes()).expect("there is room");
        }
        for (name, found) in [
            ("sid", &["1", "2"][..]),
            ("SID", &["y"]),
            ("a", &["b=c"]),
            ("empty", &[""]),
            ("q", &["\"z\""]),
            ("si", &[]),
            ("x", &[]),
        ] {
            let values: Vec<&[u8]> = values(&fields, name).collect();
            let expected: Vec<&[u8]> = found.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(values, expected, "{name}");
        }
    }
}
