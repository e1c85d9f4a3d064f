//! The processes of the stack.

use std::fmt;

/// A process of the stack. The variants are in the order in which the processes start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// Stores traces and serves queries.
    Jaeger,
    /// The Collector that redacts and samples traces.
    Gateway,
    /// The Collector that receives the telemetry of the services.
    Agent,
    /// Reserves stock for order-service over gRPC.
    InventoryService,
    /// Provides users to order-service over HTTP.
    UserService,
    /// Serves orders, and calls the other two services.
    OrderService,
}

impl Process {
    /// All processes, in the order in which they start.
    pub const ALL: [Self; 6] = [
        Self::Jaeger,
        Self::Gateway,
        Self::Agent,
        Self::InventoryService,
        Self::UserService,
        Self::OrderService,
    ];

    /// The three services.
    pub const SERVICES: [Self; 3] = [Self::InventoryService, Self::UserService, Self::OrderService];

    /// Returns the name of the process in messages, in the name of its log file and in its certificate.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jaeger => "jaeger",
            Self::Gateway => "gateway",
            Self::Agent => "agent",
            Self::InventoryService => "inventory-service",
            Self::UserService => "user-service",
            Self::OrderService => "order-service",
        }
    }

    /// Whether this is one of the three services, and not the agent, the gateway or Jaeger.
    #[must_use]
    pub fn is_service(self) -> bool {
        Self::SERVICES.contains(&self)
    }

    /// Returns the stage of the shutdown in which the process is stopped. The first stage is 0. Senders stop before
    /// receivers, so that no telemetry is lost.
    pub(super) fn stage(self) -> u32 {
        match self {
            Self::OrderService => 0,
            Self::UserService | Self::InventoryService => 1,
            Self::Agent => 2,
            Self::Gateway => 3,
            Self::Jaeger => 4,
        }
    }

    /// The number of stages.
    pub(super) const STAGES: u32 = 5;
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
