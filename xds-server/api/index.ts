/** The admin API. */
export { createApi } from "./api-server.ts";
export { type ApiListenOptions, type RunningApi, startApi } from "./listen.ts";
export { openapiText } from "./openapi-text.ts";
export * from "./ports.ts";
