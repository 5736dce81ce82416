//! Columns of values that may be absent: first which are, then the values.

use bytes::BufMut;

use super::{Block, put_text};

impl Block {
    /// Texts that may be absent.
    pub fn optional_texts<'a>(
        &mut self,
        name: &'static str,
        values: impl Iterator<Item = Option<&'a str>> + Clone,
    ) {
        self.start(name, "Nullable(String)");
        self.put_nulls(values.clone());
        values.for_each(|value| put_text(&mut self.data, value.unwrap_or_default().as_bytes()));
    }

    /// Numbers that may be absent.
    pub fn optional_u64s(&mut self, name: &'static str, values: impl Iterator<Item = Option<u64>> + Clone) {
        self.start(name, "Nullable(UInt64)");
        self.put_nulls(values.clone());
        values.for_each(|value| self.data.put_u64_le(value.unwrap_or_default()));
    }

    /// Numbers that may be absent.
    pub fn optional_u32s(&mut self, name: &'static str, values: impl Iterator<Item = Option<u32>> + Clone) {
        self.start(name, "Nullable(UInt32)");
        self.put_nulls(values.clone());
        values.for_each(|value| self.data.put_u32_le(value.unwrap_or_default()));
    }

    /// Numbers that may be absent.
    pub fn optional_u16s(&mut self, name: &'static str, values: impl Iterator<Item = Option<u16>> + Clone) {
        self.start(name, "Nullable(UInt16)");
        self.put_nulls(values.clone());
        values.for_each(|value| self.data.put_u16_le(value.unwrap_or_default()));
    }

    /// Numbers that may be absent.
    pub fn optional_u8s(&mut self, name: &'static str, values: impl Iterator<Item = Option<u8>> + Clone) {
        self.start(name, "Nullable(UInt8)");
        self.put_nulls(values.clone());
        values.for_each(|value| self.data.put_u8(value.unwrap_or_default()));
    }

    /// Numbers that may be absent.
    pub fn optional_i16s(&mut self, name: &'static str, values: impl Iterator<Item = Option<i16>> + Clone) {
        self.start(name, "Nullable(Int16)");
        self.put_nulls(values.clone());
        values.for_each(|value| self.data.put_i16_le(value.unwrap_or_default()));
    }

    /// Numbers that may be absent.
    pub fn optional_f32s(&mut self, name: &'static str, values: impl Iterator<Item = Option<f32>> + Clone) {
        self.start(name, "Nullable(Float32)");
        self.put_nulls(values.clone());
        values.for_each(|value| self.data.put_f32_le(value.unwrap_or_default()));
    }

    fn put_nulls<T>(&mut self, values: impl Iterator<Item = Option<T>>) {
        values.for_each(|value| self.data.put_u8(u8::from(value.is_none())));
    }
}
