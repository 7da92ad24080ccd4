//! The Kafka engine: consumers that fill tables, exactly once.
//!
//! Reads in the order a message meets it: [`engine`] (which tables run) → `plan` (a table's checked
//! settings and limits, from [`settings`]) → `consumer` (its thread, a slot of `slots`) → `session`
//! (the loop; `parsers` build the block; `positions` for its partitions; `rest` and `lookout` while nothing
//! comes) on a `client` (`native` for
//! whole batches) → `insert_step` (views, parts and offsets in one commit). [`produce`] (inserts) and
//! [`output`] (what views write) are the other direction; [`status`] is what system tables show; [`embedded`] is a broker for tests and the demo.
//!
//! Rules: positions come from our log, never from the broker; a block commits with a compare-and-swap
//! on its offsets; an error delays rows and never drops them.

mod backoff;
mod client;
mod client_properties;
mod consumer;
mod crash_note;
pub mod dead_letters;
mod direct;
pub mod embedded;
pub mod engine;
pub mod events;
mod in_flight;
mod insert_step;
mod lookout;
pub mod macros;
mod message;
pub mod message_rows;
mod narrow;
mod native;
mod native_admin;
pub mod output;
mod parsers;
mod plan;
mod positions;
pub mod produce;
pub mod replay;
mod rest;
mod secrets;
pub mod seek;
mod session;
mod set_aside;
pub mod settings;
mod settle;
mod slots;
pub mod status;
mod stream_source;
mod topics;
pub mod virtual_columns;
mod watchdog;
mod watermarks;

pub(crate) use backoff::{Backoff, DELAY_MAX, Signal};
pub use client::Polling;
pub use client_properties::has_ssl;
pub(crate) use consumer::panic_text;
pub use embedded::EmbeddedBroker;
pub use engine::KafkaEngine;
pub use events::{Events, KafkaEvent};
pub use insert_step::{StreamInput, StreamSink};
pub(crate) use insert_step::{background_context, room};
pub use output::OutputStatus;
pub use plan::KafkaEngineConfig;
pub use secrets::{hidden_value, is_secret};
pub use settings::{KafkaSettings, NAMES, positional_arguments};
pub use status::{AssignmentStatus, ConsumerState, ConsumerStatus, ExceptionEntry};
pub use stream_source::{is_stream, stream_source};
