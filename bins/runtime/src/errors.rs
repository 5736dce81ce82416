use std::error::Error;

/// The text of `error` and of its causes, each once: many an error says its cause itself.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn each_cause_is_said_once() {
        let layer = |text, source: Option<Layer>| Layer { text, source: source.map(Box::new) };
        let error = layer("c.yaml: no such file", Some(layer("no such file", None)));
        assert_eq!(with_causes(&error), "c.yaml: no such file");
        let error = layer("c.yaml", Some(layer("no such file", None)));
        assert_eq!(with_causes(&error), "c.yaml: no such file");
    }
}
