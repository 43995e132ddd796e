//! Starting, replacing and ending the process, as systemd, a container and an operator do.

mod activation;
mod draining;
mod figures;
mod load;
mod nginx;
mod notices;
mod packages;
mod systemd;
mod units;
mod upgrades;
