//! What is asked of token endpoints.
