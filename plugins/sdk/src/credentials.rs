//! Credentials of a request.

/// The credentials in the only field of this list, if they are of this scheme (RFC 9110, section 11.4).
pub(crate) fn of_scheme(fields: &[Vec<u8>], scheme: &str) -> Option<Vec<u8>> {
    let [field] = fields else { return None };
    let (found, rest) = field.split_at_checked(scheme.len())?;
    let is_scheme = found.eq_ignore_ascii_case(scheme.as_bytes()) && rest.starts_with(b" ");
    is_scheme.then(|| rest.trim_ascii().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(fields: &[&str]) -> Option<String> {
        let fields: Vec<Vec<u8>> = fields.iter().map(|field| field.as_bytes().to_vec()).collect();
        of_scheme(&fields, "Basic").map(|found| String::from_utf8_lossy(&found).into_owned())
    }

    #[test]
    fn credentials_follow_a_whole_scheme_in_any_case() {
        assert_eq!(basic(&["Basic YTpi"]).as_deref(), Some("YTpi"));
        assert_eq!(basic(&["bASIC   YTpi "]).as_deref(), Some("YTpi"));
        assert_eq!(basic(&["Basic "]).as_deref(), Some(""));
        for other in ["", "Bas", "Basic", "BasicYTpi", "Bearer YTpi", " Basic YTpi"] {
            assert_eq!(basic(&[other]), None, "{other:?}");
        }
    }

    #[test]
    fn several_fields_have_no_credentials() {
        assert_eq!(basic(&[]), None);
        assert_eq!(basic(&["Basic YTpi", "Basic YTpi"]), None);
        assert_eq!(basic(&["Basic YTpi", "Bearer a"]), None);
    }
}
