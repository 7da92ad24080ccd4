//! Tests of the log as a whole, over the three disks: `store` (opening, committing, garbage, errors),
//! `codec` (round trips and hostile bytes), `state` (check and apply as tables), `damage` (bit flips,
//! truncation), `faults` (the n-th disk operation fails) and `simulation` (power cuts everywhere).

mod codec;
mod damage;
mod faults;
mod fixture;
mod simulation;
mod state;
mod store;
mod workload;
