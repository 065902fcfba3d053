/** The words of handing people over to destinations. Pure; safe in workflows. */

export type DeliveryState = "queued" | "sent" | "accepted" | "confirmed" | "unsupported" | "failed" | "manual";

export type DeliveryOperation = "deliver" | "remove" | "erase" | "message";

export interface DeliverAudienceInput {
  segment: string;
  destination: string;
  actor: string;
}

/** What a segment's hand-over to a destination has come to, in people. */
export interface DeliveryReport {
  delivered: number;
  removed: number;
  /** Are in the segment, and do not allow its purpose. */
  excluded: number;
}

/** Batches to be sent, in their order. */
export interface ClaimedDeliveries {
  deliveries: string[];
  excluded: number;
}

export interface SentDelivery {
  destination: string;
  state: DeliveryState;
  operation: DeliveryOperation;
  members: number;
}

/** A person's erasure at one destination. */
export interface PendingErasure {
  deliveryId: string;
  destination: string;
  /** When to give up and call for a person, ISO 8601. */
  until: string;
  /** Until when the person is waited for, shortly before the request has to be answered. */
  due: string;
}
