//! TLS towards clients.

mod certificates_of_clients;
mod choice;
mod failures;
mod resumption;
mod settings;
