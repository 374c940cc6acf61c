/**
 * The conformance table: what is sent, and what Envoy does. Expectations were read off real Envoys and checked against
 * the sources; the rows that a filter's design depends on come first in each group. See scenario.ts for the form.
 */
import type { Scenario } from "./scenario.ts";
import { bodies } from "./scenarios/bodies.ts";
import { callouts } from "./scenarios/callouts.ts";
import { failures } from "./scenarios/failures.ts";
import { headers } from "./scenarios/headers.ts";
import { hostServices } from "./scenarios/host-services.ts";
import { lifecycle } from "./scenarios/lifecycle.ts";
import { localReplies } from "./scenarios/local-replies.ts";

export const scenarios: readonly Scenario[] = [
  ...headers,
  ...hostServices,
  ...lifecycle,
  ...bodies,
  ...localReplies,
  ...callouts,
  ...failures,
];
