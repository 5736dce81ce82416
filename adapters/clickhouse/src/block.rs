//! Blocks of `ClickHouse`'s Native format: columns one after the other, as the server stores them.
//!
//! The server reads it three to five times as fast as rows (`RowBinary`), because there is nothing to take apart.
//! Format: <https://clickhouse.com/docs/interfaces/formats/Native>. Types need not be those of the table: the server
//! converts, for example texts to dictionaries.

mod optional;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// Room for a row to begin with, so that a block of events seldom grows.
const ROW_BYTES: usize = 512;

/// Columns of equal length.
#[derive(Debug)]
pub(crate) struct Block {
    rows: usize,
    columns: Vec<(&'static str, &'static str)>,
    data: BytesMut,
}

impl Block {
    /// A block of `rows` rows that has no columns yet.
    pub fn new(rows: usize) -> Self {
        Self { rows, columns: Vec::new(), data: BytesMut::with_capacity(rows * ROW_BYTES) }
    }

    /// Names and types of the columns, as of a table definition.
    pub fn structure(&self) -> String {
        let column = |(name, of_type): &(&str, &str)| format!("{name} {of_type}");
        self.columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }

    /// Names of the columns.
    pub fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The block as it is sent: its head, and its columns.
    pub fn encode(self) -> [Bytes; 2] {
        let mut head = BytesMut::new();
        put_varint(&mut head, self.columns.len());
        put_varint(&mut head, self.rows);
        [head.freeze(), self.data.freeze()]
    }

    fn start(&mut self, name: &'static str, of_type: &'static str) {
        put_text(&mut self.data, name.as_bytes());
        put_text(&mut self.data, of_type.as_bytes());
        self.columns.push((name, of_type));
    }

    /// Texts, or bytes.
    pub fn texts<T: AsRef<[u8]>>(&mut self, name: &'static str, values: impl Iterator<Item = T>) {
        self.start(name, "String");
        for value in values {
            put_text(&mut self.data, value.as_ref());
        }
    }

    /// Lists of texts.
    pub fn text_lists<'a, T: AsRef<str> + 'a>(
        &mut self,
        name: &'static str,
        values: impl Iterator<Item = &'a [T]> + Clone,
    ) {
        self.start(name, "Array(String)");
        let mut end = 0_u64;
        for list in values.clone() {
            end += list.len() as u64;
            self.data.put_u64_le(end);
        }
        for text in values.flatten() {
            put_text(&mut self.data, text.as_ref().as_bytes());
        }
    }

    /// Counts by text.
    pub fn count_maps<'a, M>(&mut self, name: &'static str, values: impl Iterator<Item = M> + Clone)
    where
        M: IntoIterator<Item = (&'a str, u64), IntoIter: ExactSizeIterator>,
    {
        self.start(name, "Map(String, UInt64)");
        let mut end = 0_u64;
        for map in values.clone() {
            end += map.into_iter().len() as u64;
            self.data.put_u64_le(end);
        }
        for (text, _) in values.clone().flatten() {
            put_text(&mut self.data, text.as_bytes());
        }
        for (_, count) in values.flatten() {
            self.data.put_u64_le(count);
        }
    }

    /// Times in epoch ms.
    pub fn times(&mut self, name: &'static str, values: impl Iterator<Item = i64>) {
        self.start(name, "DateTime64(3, 'UTC')");
        values.for_each(|value| self.data.put_i64_le(value));
    }

    /// Times in epoch seconds, up to the year 2106.
    pub fn seconds(&mut self, name: &'static str, values: impl Iterator<Item = u32>) {
        self.start(name, "DateTime('UTC')");
        values.for_each(|value| self.data.put_u32_le(value));
    }

    /// UUIDs.
    pub fn uuids(&mut self, name: &'static str, values: impl Iterator<Item = Uuid>) {
        self.start(name, "UUID");
        for value in values {
            let (high, low) = value.as_u64_pair();
            self.data.put_u64_le(high);
            self.data.put_u64_le(low);
        }
    }

    /// Numbers.
    pub fn i64s(&mut self, name: &'static str, values: impl Iterator<Item = i64>) {
        self.start(name, "Int64");
        values.for_each(|value| self.data.put_i64_le(value));
    }

    /// Numbers.
    pub fn u64s(&mut self, name: &'static str, values: impl Iterator<Item = u64>) {
        self.start(name, "UInt64");
        values.for_each(|value| self.data.put_u64_le(value));
    }

    /// Numbers.
    pub fn u32s(&mut self, name: &'static str, values: impl Iterator<Item = u32>) {
        self.start(name, "UInt32");
        values.for_each(|value| self.data.put_u32_le(value));
    }

    /// Numbers.
    pub fn u16s(&mut self, name: &'static str, values: impl Iterator<Item = u16>) {
        self.start(name, "UInt16");
        values.for_each(|value| self.data.put_u16_le(value));
    }

    /// Numbers.
    pub fn u8s(&mut self, name: &'static str, values: impl Iterator<Item = u8>) {
        self.start(name, "UInt8");
        values.for_each(|value| self.data.put_u8(value));
    }

    /// Truths.
    pub fn bools(&mut self, name: &'static str, values: impl Iterator<Item = bool>) {
        self.start(name, "Bool");
        values.for_each(|value| self.data.put_u8(u8::from(value)));
    }
}

fn put_text(data: &mut BytesMut, text: &[u8]) {
    put_varint(data, text.len());
    data.put_slice(text);
}

/// LEB128.
fn put_varint(data: &mut BytesMut, mut number: usize) {
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits are left")]
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            data.put_u8(low);
            return;
        }
        data.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_columns_one_after_the_other() {
        let mut block = Block::new(2);
        block.texts("name", ["a", "bc"].iter());
        block.optional_u16s("width", [None, Some(258)].into_iter());
        block.text_lists("tags", [&["x"][..], &["y", "z"]].into_iter());
        assert_eq!(block.names(), "name, width, tags");
        assert_eq!(block.structure(), "name String, width Nullable(UInt16), tags Array(String)");
        let expected = [
            b"\x03\x02".as_slice(),
            b"\x04name\x06String\x01a\x02bc",
            b"\x05width\x10Nullable(UInt16)\x01\x00\x00\x00\x02\x01",
            b"\x04tags\x0dArray(String)\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x01x\x01y\x01z",
        ];
        assert_eq!(block.encode().concat(), expected.concat());
    }

    #[test]
    fn long_texts_have_long_lengths() {
        let mut data = BytesMut::new();
        put_text(&mut data, &[7; 300]);
        assert_eq!(&data[..3], b"\xac\x02\x07");
        assert_eq!(data.len(), 302);
    }
}
