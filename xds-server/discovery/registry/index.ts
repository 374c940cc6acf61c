/** The registry of our own: REST handlers, state in the state store, and a source of service discovery. */
export { type RegistryAnswer, type RegistryHandlers, type RegistryRequest, registryHandlers } from "./handlers.ts";
export { Registry, type RegistryOptions } from "./registry.ts";
export { registrySource } from "./source.ts";
