//! Lists as parameters of questions: the server refuses a parameter of more than 128 KiB, and a URL of more than 1 MiB.

/// Most that one list may weigh. Three lists of it fit into a URL.
const MOST: usize = 100_000;

/// `items` in parts whose lists the server takes. `texts` gives what of an item goes into each list.
pub(crate) fn parts<'a, T, const LISTS: usize>(
    items: &'a [T],
    texts: impl Fn(&'a T) -> [&'a str; LISTS],
) -> Vec<&'a [T]> {
    let mut parts = Vec::new();
    let (mut start, mut weights) = (0, [0; LISTS]);
    for (place, item) in items.iter().enumerate() {
        let of_item = texts(item).map(weight);
        let is_full = weights.iter().zip(of_item).any(|(all, one)| all + one > MOST);
        if is_full && place > start {
            parts.push(&items[start..place]);
            (start, weights) = (place, [0; LISTS]);
        }
        for (all, one) in weights.iter_mut().zip(of_item) {
            *all += one;
        }
    }
    if start < items.len() {
        parts.push(&items[start..]);
    }
    parts
}

/// Bytes that a text has in a list at most, with its quotes and comma: others than these letters may be escaped, twice.
fn weight(text: &str) -> usize {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    3 + text.bytes().map(|byte| if is_plain(byte) { 1 } else { 4 }).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(items: &[String]) -> Vec<usize> {
        parts(items, |text| [text.as_str()]).iter().map(|part| part.len()).collect()
    }

    #[test]
    fn parts_are_as_long_as_the_server_takes_and_leave_nothing_out() {
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&vec!["x".repeat(97); 2_500]), [1_000, 1_000, 500]);
        assert_eq!(lengths(&vec!["'".repeat(97); 500]), [255, 245]);
        // One that is too long on its own is not lost, but refused by the server.
        assert_eq!(lengths(&vec!["x".repeat(200_000); 2]), [1, 1]);
    }

    #[test]
    fn the_heaviest_list_decides() {
        let items = vec![("p", "s".repeat(997)); 150];
        let parts = parts(&items, |(short, long)| [*short, long.as_str()]);
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [100, 50]);
    }
}
