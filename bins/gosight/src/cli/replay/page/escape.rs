//! Text of unknown origin inside of a page.

/// Adds JSON to `page`, so that it means the same and can stand inside of a `<script>` element.
///
/// In JSON all of these stand in strings only, where each may be written by its number: `<`, without which there is no
/// `</script`, `<script` or `<!--`; and the line ends of Unicode, which older scripts take for the end of a string.
pub(super) fn escape_json(json: &str, page: &mut String) {
    let mut rest = json;
    while let Some(found) = rest.find(['<', '\u{2028}', '\u{2029}']) {
        let (before, from) = rest.split_at(found);
        page.push_str(before);
        let mut chars = from.chars();
        page.push_str(match chars.next() {
            Some('<') => "\\u003c",
            Some('\u{2028}') => "\\u2028",
            _ => "\\u2029",
        });
        rest = chars.as_str();
    }
    page.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(json: &str) -> String {
        let mut page = String::new();
        escape_json(json, &mut page);
        page
    }

    #[test]
    fn nothing_is_left_that_could_end_or_start_an_element() {
        assert_eq!(escaped(r#""</script>""#), r#""\u003c/script>""#);
        assert_eq!(escaped(r#""<!--<ScRiPt>-->""#), r#""\u003c!--\u003cScRiPt>-->""#);
        assert_eq!(escaped("\"a\u{2028}b\u{2029}\""), r#""a\u2028b\u2029""#);
        assert_eq!(escaped(r#"{"<":["<<"]}"#), r#"{"\u003c":["\u003c\u003c"]}"#);
    }

    #[test]
    fn the_value_stays_the_same() {
        for json in [
            r#""\\<""#,
            r#""\\\\</script>""#,
            r#""\"<\"""#,
            r#""\u003c<\u2028""#,
            r#""é 😀 \ud83d\ude00 \/ &amp;""#,
            r#"[1.50,-0,1e400,true,null,"",{}]"#,
            "\"\u{2027}\u{2028}\u{202a}\"",
        ] {
            let out = escaped(json);
            if !json.contains("1e400") {
                let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
                assert_eq!(value(&out), value(json));
            }
            assert!(!out.contains('<'), "{out}");
        }
        assert_eq!(escaped("[1.50,1e400]"), "[1.50,1e400]");
    }
}
