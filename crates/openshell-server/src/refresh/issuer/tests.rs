//! What token endpoints answer.
