/** Bounds on what one stream may ask for. A peer that passes one of them is ended with RESOURCE_EXHAUSTED. */

/** Names in one subscription, in one request, and in what a reconnecting client says it has. Envoy repeats all of them in every EDS ACK; 20,000 clusters is beyond what one Envoy holds comfortably. */
export const MAX_RESOURCE_NAMES = 20_000;

/** UTF-16 units of one resource name; Envoy's own cluster names stay below 300. */
export const MAX_RESOURCE_NAME_LENGTH = 2_048;

/** Bytes of one request: 20,000 names of 200 bytes, and the node with its list of extensions. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** UTF-16 units kept of a NACK message: Envoy prints the whole rejected proto into it. */
export const MAX_NACK_MESSAGE_LENGTH = 4_096;

/**
 * Unanswered delta responses of one type. More than one arise only by answers to subscriptions; Envoy answers each at once, so this is reached by
 * clients that do not. What is due beyond it waits and goes out together.
 */
export const MAX_OUTSTANDING = 64;
