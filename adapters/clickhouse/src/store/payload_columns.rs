use gosight_application::ports::StoredEvent;

use crate::block::Block;

/// The columns of the payloads. The server computes them for rows that come without, at several times the CPU time.
pub(super) fn put(block: &mut Block, events: &[&StoredEvent]) {
    let each = || events.iter().map(|stored| &stored.details);
    block.optional_i16s("click_x", each().map(|details| details.click_x));
    block.optional_i16s("click_y", each().map(|details| details.click_y));
    block.optional_texts("target_selector", each().map(|details| details.target_selector.as_deref()));
    block.optional_texts("target_tag", each().map(|details| details.target_tag.as_deref()));
    block.optional_texts("target_role", each().map(|details| details.target_role.as_deref()));
    block.optional_texts("target_text", each().map(|details| details.target_text.as_deref()));
    block.optional_u8s("scroll_depth", each().map(|details| details.scroll_depth));
    block.optional_texts("error_message", each().map(|details| details.error_message.as_deref()));
    block.optional_texts("error_stack", each().map(|details| details.error_stack.as_deref()));
    block.optional_texts("error_type", each().map(|details| details.error_type.as_deref()));
    block.optional_u32s("lcp", each().map(|details| details.lcp_ms));
    block.optional_u32s("fid", each().map(|details| details.fid_ms));
    block.optional_u32s("inp", each().map(|details| details.inp_ms));
    block.optional_f32s("cls", each().map(|details| details.cls));
    block.optional_u32s("ttfb", each().map(|details| details.ttfb_ms));
}
