//! Rules about the code that a test holds; the tests are all there is.
