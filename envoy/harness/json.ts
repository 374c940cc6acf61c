/** Plain JSON data, the form in which bootstraps are built and written. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** `@type` URL of a message below the `envoy` package. */
export const envoyType = (name: string): string => `type.googleapis.com/envoy.${name}`;
