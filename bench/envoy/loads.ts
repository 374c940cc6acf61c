/** The loads: which request, how many per measurement, over how many connections. */

/** What a load and an arm are about. Those about budgets on several machines are compared under loads of their own, which also show the time to the answer. */
export type Family = "routing" | "limits" | "both";

export interface Load {
  readonly name: string;
  readonly title: string;
  readonly family: Family;
  readonly requestBytes: number;
  /** The answer is an event stream. */
  readonly events: boolean;
  /** Requests per arm and round: few, because many short rounds cancel the drift of a shared machine better than few long ones. */
  readonly requests: number;
  readonly connections: number;
}

const kib = 1_024;

export const loads: readonly Load[] = [
  { name: "1k", title: "1 KB", family: "routing", requestBytes: kib, events: false, requests: 1_500, connections: 4 },
  {
    name: "16k",
    title: "16 KB",
    family: "routing",
    requestBytes: 16 * kib,
    events: false,
    requests: 1_200,
    connections: 4,
  },
  {
    name: "128k",
    title: "128 KB",
    family: "routing",
    requestBytes: 128 * kib,
    events: false,
    requests: 400,
    connections: 4,
  },
  {
    name: "1m",
    title: "1 MB",
    family: "routing",
    requestBytes: kib * kib,
    events: false,
    requests: 80,
    connections: 4,
  },
  {
    name: "sse",
    title: "SSE, 200 chunks",
    family: "both",
    requestBytes: kib,
    events: true,
    requests: 96,
    connections: 16,
  },
  {
    name: "c1",
    title: "1 KB, 1 connection",
    family: "limits",
    requestBytes: kib,
    events: false,
    requests: 400,
    connections: 1,
  },
  {
    name: "c16",
    title: "1 KB, 16 connections",
    family: "limits",
    requestBytes: kib,
    events: false,
    requests: 1_500,
    connections: 16,
  },
];

/** Whether an arm is measured under a load. */
export const meet = ({ family = "routing" }: { readonly family?: Family }, load: Load): boolean =>
  family === "both" || load.family === "both" || family === load.family;

/** The two models of the benchmark and the route each must take; every second request names the other one. */
export const models: readonly { readonly model: string; readonly route: string }[] = [
  { model: "gpt-4o", route: "gpt" },
  { model: "claude-sonnet-4-5", route: "claude" },
];

/** Where a request goes that nothing has routed. */
export const defaultRoute = "none";
export const routeHeader = "x-llm-route";
