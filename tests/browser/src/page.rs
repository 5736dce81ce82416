use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Browser;

/// One page of a browser, and what happens in it.
#[derive(Debug)]
pub struct Page<'b> {
    browser: &'b Browser,
    session: String,
}

/// What went wrong or out of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Happened {
    /// Errors in the console, and exceptions that nobody caught.
    pub errors: Vec<String>,
    /// What the console says of things that a policy or a sandbox has refused.
    pub refused: Vec<String>,
    /// Addresses that its policy kept it from fetching.
    pub blocked: Vec<String>,
    /// Addresses that it has tried to fetch.
    pub fetched: Vec<String>,
}

impl<'b> Page<'b> {
    pub(crate) fn open(browser: &'b Browser) -> Self {
        let session = browser.with_tools(|tools| {
            let target = tools.call(None, "Target.createTarget", &json!({"url": "about:blank"}));
            let attach = json!({"targetId": target["targetId"], "flatten": true});
            let attached = tools.call(None, "Target.attachToTarget", &attach);
            attached["sessionId"].as_str().expect("a session").to_owned()
        });
        let page = Self { browser, session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page
    }

    /// Goes to an address, and waits until it is loaded.
    pub fn go_to(&self, url: &str) {
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.value("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))");
    }

    /// The value of a JavaScript expression; of a promise, what it comes to.
    pub fn value(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// The value of an expression that is a text.
    pub fn text(&self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Writes a picture of what is seen into a PNG file.
    pub fn screenshot(&self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        let data = STANDARD.decode(answer["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(file, data).expect("a file");
    }

    /// What went wrong or out since it was asked last.
    pub fn happened(&self) -> Happened {
        let mut happened = Happened::default();
        let mut requests = BTreeMap::new();
        for event in self.browser.with_tools(|tools| tools.take_events(&self.session)) {
            let (method, params) = (event["method"].as_str().unwrap_or_default(), &event["params"]);
            match method {
                "Runtime.exceptionThrown" => happened.errors.push(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if params["type"] == "error" => {
                    happened.errors.push(params["args"].to_string());
                }
                "Log.entryAdded" if params["entry"]["level"] == "error" => {
                    let entry = &params["entry"];
                    let list = if entry["source"] == "security" {
                        &mut happened.refused
                    } else {
                        &mut happened.errors
                    };
                    list.push(entry.to_string());
                }
                "Network.requestWillBeSent" => {
                    requests.insert(params["requestId"].to_string(), params["request"]["url"].clone());
                }
                "Network.loadingFailed" if params["blockedReason"] == "csp" => {
                    let url = requests.remove(&params["requestId"].to_string()).unwrap_or_default();
                    happened.blocked.push(url.as_str().unwrap_or_default().to_owned());
                }
                _ => {}
            }
        }
        let leaves = |url: &&str| !url.starts_with("data:") && !url.starts_with("blob:");
        happened.fetched =
            requests.values().filter_map(Value::as_str).filter(leaves).map(str::to_owned).collect();
        happened
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        self.browser.with_tools(|tools| tools.call(Some(&self.session), method, params))
    }
}
