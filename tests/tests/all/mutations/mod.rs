//! Mutated messages, sent through Pace and judged by an oracle at both ends.
//!
//! ```text
//! seeds ──▶ mutate ──▶ talk ──▶ Pace ──▶ backend
//!             │          │                  │
//!             ▼          ▼                  ▼
//!           reader ──▶ judge ◀──────────────┘
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `reader` | reads messages to the letter, independently of the proxy |
//! | `seeds`, `draft`, `mutate`, `dice` | valid messages, and their mutations |
//! | `sent`, `rules` | the messages that a client has sent, and how Pace has to treat them |
//! | `talk`, `backend`, `pieces`, `place` | both ends, and Pace between them |
//! | `judge` | compares the received messages with those sent |
//! | `requests`, `responses`, `campaign`, `report` | the tests: how many cases, and the report about them |

mod backend;
mod campaign;
mod dice;
mod draft;
mod judge;
mod mutate;
mod pieces;
mod place;
mod reader;
mod report;
mod requests;
mod responses;
mod rules;
mod seeds;
mod sent;
mod talk;
