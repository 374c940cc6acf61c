/** Prometheus metrics of answers that others read along (flights.ts), in the server's registry. Labels have a fixed set of values. */
import type { Counter, Registry } from "prom-client";
import type { Flights } from "./flights.ts";
import { metricMakers } from "./metric-makers.ts";

/** What became of an answer: all of it came, it broke off, or there were too many. */
export const FLIGHT_RESULTS = ["complete", "broken", "refused"] as const;

/** What a request that read along got: all, a part because the answer broke off or it was too slow, a part because it left, or nothing; or another server has it, and was asked. */
export const FOLLOW_RESULTS = ["complete", "broken", "left", "gone", "forwarded"] as const;
export type FollowResult = (typeof FOLLOW_RESULTS)[number];

export interface FlightMetrics {
  readonly flights: Counter<"result">;
  readonly follows: Counter<"result">;
  readonly bytes: Counter<"what">;
}

export function createFlightMetrics(registry: Registry, flights: Flights): FlightMetrics {
  const { counter, gauge } = metricMakers(registry);
  gauge("flights", "Answers that can be read along.", () => flights.size);
  gauge("followers", "Requests that read along.", () => flights.followers);
  gauge("flight_memory_bytes", "Bytes of the answers that can be read along.", () => flights.bytes);
  return {
    flights: counter("flights_total", "Answers that could be read along, by result.", "result", FLIGHT_RESULTS),
    follows: counter("follows_total", "Requests that read along, by result.", "result", FOLLOW_RESULTS),
    bytes: counter("flight_bytes_total", "Bytes from leaders, and to those who read along.", "what", [
      "led",
      "followed",
    ]),
  };
}
