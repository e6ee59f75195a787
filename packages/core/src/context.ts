/** Who acts, and why: written into what a module records. All values together take at most 4 kB. */
export interface Actor {
  /** Who acts, such as `user:ann`. */
  actorId?: string;
  /** The request that caused it. */
  requestId?: string;
  /** Whom the actor acts for. */
  onBehalfOf?: string;
  /** Why, such as a ticket. */
  reason?: string;
  /** Where from, an IPv4 or IPv6 address. */
  ipAddress?: string;
  /** With what. */
  userAgent?: string;
}

/** What a call carries beside its arguments. */
export interface Context {
  /** The tenant; null means all of them, where a function allows that. */
  namespace?: string | null;
  actor?: Actor;
}

/** An actor as the database keeps it. */
export function actorParts(actor: Actor): Record<string, string | undefined> {
  return {
    actor_id: actor.actorId,
    request_id: actor.requestId,
    on_behalf_of: actor.onBehalfOf,
    reason: actor.reason,
    ip_address: actor.ipAddress,
    user_agent: actor.userAgent,
  };
}
