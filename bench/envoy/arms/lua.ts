import { join } from "node:path";
import { type Arm, type } from "./arm.ts";

/** Envoy's Lua filter with the script beside this file. */
export const lua: Arm = {
  name: "lua",
  does: "Envoy's Lua filter: buffers the request, hops to `model` with string.find and reads no further, sets the route header; usage into dynamic metadata",
  routes: true,
  usage: { kind: "metadata" },
  httpFilters: ({ root }) => [
    {
      name: "lua",
      typed_config: {
        "@type": type("extensions.filters.http.lua.v3.Lua"),
        default_source_code: { filename: join(root, "bench/envoy/arms/router.lua") },
      },
    },
  ],
};
