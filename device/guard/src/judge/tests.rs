//! What is wrong with each message.
