/** Endpoint picking without Envoy: everything that a filter or a simulator needs. */
export { BlockNews } from "./block-news";
export { Endpoints } from "./endpoints";
export { EndpointMask, MAX_ENDPOINTS } from "./endpoint-mask";
export { PickList } from "./pick-list";
export { PickRequest } from "./pick-request";
export { Pool } from "./pool";
export { Overflow, Policy, PoolSettings } from "./pool-settings";
export { PrefixIndex } from "./prefix-index";
export { Outcome, Ticket } from "./ticket";
