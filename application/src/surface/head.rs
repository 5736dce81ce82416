use std::fmt;

/// The head of a request, as far as a dialect looks at it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The path, as it was routed.
    pub path: &'a str,
    /// What follows the `?` of the address.
    pub query: Option<&'a str>,
    /// Gives the first header of a name, which is in lower case.
    pub header: &'a (dyn Fn(&str) -> Option<&'a [u8]> + Sync),
}

impl Head<'_> {
    /// The header `name` as text; what is no UTF-8 in it is replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        (self.header)(name).map(|value| String::from_utf8_lossy(value).trim().to_owned())
    }
}

impl fmt::Debug for Head<'_> {
    /// Headers and query may hold a key and are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("path", &self.path).finish_non_exhaustive()
    }
}
