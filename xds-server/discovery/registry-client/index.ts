/** What clients of central registries share: questions over HTTP, watches of one service, and doubt about registries that forget. */
export { EndpointReader } from "./endpoint-reader.ts";
export { type JsonAnswer, JsonClient, type JsonQuestion, refusal } from "./json-client.ts";
export { pause } from "./pause.ts";
export { RemovalHold } from "./removal-hold.ts";
export { baseOf, readAuthorities } from "./server-address.ts";
export { faultOfServiceName } from "./service-name.ts";
export { ServiceObservers } from "./service-observers.ts";
