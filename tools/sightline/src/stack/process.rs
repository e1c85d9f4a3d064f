//! The processes of the stack.

use std::fmt;

/// One process. The order is that in which they start; they stop the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// Stores traces and answers for them.
    Jaeger,
    /// The Collector that samples and redacts.
    Gateway,
    /// The Collector that services send to.
    Agent,
    /// Answers order-service over gRPC.
    InventoryService,
    /// Answers order-service over HTTP.
    UserService,
    /// Where an order's trace begins.
    OrderService,
}

impl Process {
    /// All of them, in the order in which they start.
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

    /// Its name: in messages, of its log, and of its certificate.
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

    /// Whether it is one of ours, and not part of the pipeline.
    #[must_use]
    pub fn is_service(self) -> bool {
        Self::SERVICES.contains(&self)
    }

    /// When it stops: who calls or sends stops before who answers or stores, so that nothing is lost.
    pub(super) fn stage(self) -> u32 {
        match self {
            Self::OrderService => 0,
            Self::UserService | Self::InventoryService => 1,
            Self::Agent => 2,
            Self::Gateway => 3,
            Self::Jaeger => 4,
        }
    }

    /// Number of stages.
    pub(super) const STAGES: u32 = 5;
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
