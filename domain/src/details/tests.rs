use super::*;

fn extract<'a>(event_type: &str, payload: &'a str) -> Result<Details<'a>, Violation> {
    Details::extract(event_type, payload)
}

#[test]
fn a_click_gives_its_place_and_target() {
    let details = extract(
        "click",
        r##"{"x":415.4,"y":-2,"target":{"selector":"#buy","tag":"button","text":"Buy"},"more":[1]}"##,
    )
    .unwrap();
    assert_eq!((details.click_x, details.click_y), (Some(415), Some(-2)));
    assert_eq!(details.target_tag.as_deref(), Some("button"));
    assert_eq!(details.target_text.as_deref(), Some("Buy"));
    assert!(matches!(details.target_selector, Some(Cow::Borrowed("#buy"))));
}

#[test]
fn numbers_that_do_not_fit_name_their_field() {
    for (event_type, payload, field) in [
        ("click", r#"{"x":70000}"#, "payload.x"),
        ("click", r#"{"y":-32769}"#, "payload.y"),
        ("scroll", r#"{"depth_percent":300}"#, "payload.depth_percent"),
        ("scroll", r#"{"depth_percent":101}"#, "payload.depth_percent"),
        ("scroll", r#"{"depth_percent":-1}"#, "payload.depth_percent"),
        ("web_vitals", r#"{"lcp":5000000000}"#, "payload.lcp"),
        ("web_vitals", r#"{"ttfb":-5}"#, "payload.ttfb"),
        ("web_vitals", r#"{"cls":-0.1}"#, "payload.cls"),
        ("web_vitals", r#"{"cls":1e300}"#, "payload.cls"),
        ("mouse_move", r#"{"positions":[{"x":1,"y":99999}]}"#, "payload.y"),
    ] {
        let violation = extract(event_type, payload).unwrap_err();
        assert_eq!((violation.code, &*violation.field), (ViolationCode::OutOfRange, field), "{payload}");
    }
}

#[test]
fn wrong_types_are_refused() {
    for (event_type, payload, field) in [
        ("click", r#"{"x":"12"}"#, "payload.x"),
        ("click", r#"{"target":"button"}"#, "payload.target"),
        ("click", r#"{"target":{"tag":1}}"#, "payload.target.tag"),
        ("click", r##"{"target":["#buy"]}"##, "payload.target"),
        ("mouse_move", r#"{"positions":[[1,2,-3]]}"#, "payload.positions[0]"),
        ("js_error", r#"{"message":{}}"#, "payload.message"),
        ("web_vitals", r#"{"lcp":[1]}"#, "payload.lcp"),
    ] {
        let violation = extract(event_type, payload).unwrap_err();
        assert_eq!((violation.code, &*violation.field), (ViolationCode::WrongType, field), "{payload}");
        assert!(!violation.reason.contains("line"), "{violation}");
    }
}

#[test]
fn a_field_that_is_there_twice_is_refused() {
    let violation = extract("click", r#"{"x":1,"x":2}"#).unwrap_err();
    assert_eq!((violation.code, &*violation.field), (ViolationCode::Inconsistent, "payload"));
    assert!(violation.reason.contains('x'), "{violation}");
}

#[test]
fn null_and_absent_are_the_same() {
    assert_eq!(extract("click", r#"{"x":null,"target":null}"#).unwrap(), Details::default());
    assert_eq!(extract("web_vitals", "{}").unwrap(), Details::default());
    assert_eq!(extract("anything", r#"{"x":70000}"#).unwrap(), Details::default());
}

#[test]
fn pointer_places_come_alone_or_in_a_list() {
    let alone = extract("mouse_move", r#"{"x":1,"y":2}"#).unwrap();
    assert_eq!(alone.cursor, [CursorPoint { x: 1, y: 2, offset_ms: 0 }]);
    let list = extract("mouse_move", r#"{"positions":[{"x":1,"y":2,"timeOffset":-40}]}"#).unwrap();
    assert_eq!(list.cursor, [CursorPoint { x: 1, y: 2, offset_ms: -40 }]);
}
