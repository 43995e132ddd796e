use super::*;

fn plugin(json: &str) -> Result<SecurityHeaders, String> {
    pace_plugin::parse_config(json).and_then(SecurityHeaders::configure)
}

fn names(plugin: &SecurityHeaders) -> Vec<&'static str> {
    plugin.set.iter().map(|(name, _)| *name).collect()
}

#[test]
fn nothing_has_to_be_said() {
    let plugin = plugin("{}").expect("all keys have defaults");
    assert_eq!(
        names(&plugin),
        ["X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy"]
    );
    assert_eq!(
        (plugin.hsts, plugin.remove),
        (None, vec!["Server".to_owned(), "X-Powered-By".to_owned()])
    );
}

#[test]
fn an_empty_value_leaves_a_header_out() {
    let json = r#"{"frames": "", "referrer": "", "opener": "", "csp": "default-src 'self'", "remove": []}"#;
    let plugin = plugin(json).expect("it is right");
    assert_eq!(names(&plugin), ["Content-Security-Policy"]);
    assert!(plugin.remove.is_empty());
}

#[test]
fn hsts_has_the_form_of_rfc_6797() {
    let of = |json: &str| plugin(&format!(r#"{{"hsts": {json}}}"#)).map(|plugin| plugin.hsts);
    let plain = of(r#"{"max_age_days": 365}"#);
    assert_eq!(plain, Ok(Some(("max-age=31536000".into(), false))));
    let all = of(r#"{"max_age_days": 730, "include_subdomains": true, "preload": true, "behind_tls": true}"#);
    assert_eq!(
        all,
        Ok(Some((
            "max-age=63072000; includeSubDomains; preload".into(),
            true
        )))
    );
    let off = of(r#"{"max_age_days": 0}"#);
    assert_eq!(
        off,
        Ok(Some(("max-age=0".into(), false))),
        "tells browsers to forget"
    );
}

#[test]
fn mistakes_are_named() {
    let refusal = |json| plugin(json).err().unwrap_or_default();
    assert!(refusal(r#"{"hsts": {"max_age_days": 30, "preload": true}}"#).starts_with("hsts.preload: needs"));
    assert!(refusal(r#"{"frames": "deny"}"#).starts_with("frames: unknown variant `deny`"));
    assert!(refusal(r#"{"csp": "a\nb"}"#).starts_with("csp: "));
    assert!(refusal(r#"{"hsts": {}}"#).starts_with("hsts: missing field `max_age_days`"));
}
