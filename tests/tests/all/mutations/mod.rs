//! What Pace makes of messages that are not quite right, with an oracle at both ends.
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
//! | `seeds`, `draft`, `mutate`, `dice` | valid messages, and what becomes of them |
//! | `sent`, `rules` | what a client has sent, and what Pace is to make of it |
//! | `talk`, `backend`, `pieces`, `place` | both ends, and Pace between them |
//! | `judge` | compares what was seen with what was sent |
//! | `requests`, `responses`, `campaign`, `report` | the tests: so many cases, and what is said of them |

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
