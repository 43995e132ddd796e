//! Cookies of a request.

/// The value of the first cookie of this name in the fields named `cookie` (RFC 6265, section 5.4). Names are
/// compared exactly, and a value keeps its quotation marks, if it has any.
pub(crate) fn find(fields: &[Vec<u8>], name: &str) -> Option<Vec<u8>> {
    let pairs = fields.iter().flat_map(|field| field.split(|&byte| byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_is_found_by_its_whole_name() {
        let fields = [b"ab=1; a=2;b=3".to_vec(), b" a=4; c=\"5\"; d=; e".to_vec()];
        let find = |name| find(&fields, name).map(|value| String::from_utf8_lossy(&value).into_owned());
        assert_eq!(
            find("a").as_deref(),
            Some("2"),
            "the first one, also in another field"
        );
        assert_eq!(find("b").as_deref(), Some("3"));
        assert_eq!(find("c").as_deref(), Some("\"5\""));
        assert_eq!(find("d").as_deref(), Some(""));
        assert_eq!((find("e"), find("A"), find("")), (None, None, None));
    }
}
