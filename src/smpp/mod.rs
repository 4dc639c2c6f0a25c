//! (in construction)

pub mod receipt;
pub mod text;
