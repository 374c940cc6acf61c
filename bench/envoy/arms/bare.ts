import type { Arm } from "./arm.ts";

/** Envoy with nothing but its router: what all other arms are compared with. */
export const bare: Arm = {
  name: "bare",
  does: "no filter: every request takes the default route, nothing is read",
  family: "both",
  routes: false,
  usage: { kind: "none", reason: "no filter" },
  httpFilters: () => [],
};
