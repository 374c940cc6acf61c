/** The result as Markdown. Pure. */
import { limitsSection } from "./limits-report.ts";
import type { Family } from "./loads.ts";
import type { Machine } from "./machine.ts";
import type { Proof } from "./probe.ts";
import type { Summary } from "./summary.ts";
import { micros, table } from "./table.ts";

export { micros, table };

export interface ReportArm {
  readonly name: string;
  readonly does: string;
  readonly family: Family;
  readonly proof: Proof;
}

export interface Report {
  readonly machine: Machine;
  readonly envoy: string;
  readonly settings: { readonly rounds: number; readonly modelFirst: boolean };
  readonly loads: readonly {
    readonly name: string;
    readonly title: string;
    readonly family: Family;
    readonly requests: number;
    readonly events: boolean;
  }[];
  readonly arms: readonly ReportArm[];
  readonly absent: readonly { readonly name: string; readonly reason: string }[];
  readonly summaries: readonly Summary[];
}

export function markdown(report: Report): string {
  const { machine, arms, absent, settings } = report;
  const loads = report.loads.filter(({ family }) => family !== "limits");
  const routers = arms.filter(({ family }) => family !== "limits");
  const cell = (arm: string, write: (summary: Summary) => string): string[] =>
    loads.map(({ name }) => {
      const summary = report.summaries.find((one) => one.arm === arm && one.load === name);
      return summary === undefined ? "" : write(summary);
    });
  const head = ["arm", ...loads.map(({ title }) => title)];
  const others = routers.filter(({ name }) => name !== "bare");
  const over = others.map(({ name }) => [
    name,
    ...cell(name, ({ overBare }) =>
      overBare === undefined
        ? "-"
        : `${micros(overBare.median)} (${micros(overBare.lowerQuartile)} to ${micros(overBare.upperQuartile)})`,
    ),
  ]);
  const minima = others.map(({ name }) => [
    name,
    ...cell(name, ({ minOverBare }) => (minOverBare === undefined ? "-" : micros(minOverBare))),
  ]);
  const absolute = routers.map(({ name }) => [
    name,
    ...cell(name, ({ minMicros, medianMicros, helperMicros }) => {
      const helper = helperMicros > 0 ? `, helper ${micros(helperMicros)}` : "";
      return `${micros(minMicros)} / ${micros(medianMicros)}${helper}`;
    }),
  ]);
  const done = (yes: boolean): string => (yes ? "yes" : "no");
  const piecesOf = (arm: string): string =>
    report.summaries
      .filter((one) => one.arm === arm && loads.some(({ name, events }) => events && name === one.load))
      .map(({ framesPerAnswer }) => micros(framesPerAnswer))
      .join(", ");
  const jobs = arms.map(({ name, does, proof }) => [
    name,
    done(proof.routed),
    done(proof.usageOfAnswer),
    done(proof.usageOfStream),
    proof.cutRequest,
    proof.charged ?? "",
    piecesOf(name),
    does,
  ]);
  const modules = Object.entries(machine.goModules).map(([path, version]) => `${path} ${version}`);
  const counts = report.loads.map(({ title, requests }) => `${title}: ${requests}`).join(", ");
  return [
    "# CPU time per request in Envoy",
    "",
    `Envoy ${report.envoy}, one worker; ${machine.cores} x ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}; load average ${machine.loadAverage.toFixed(2)} at the start.`,
    `${settings.rounds} rounds, requests per arm and round: ${counts}. \`model\` stands ${settings.modelFirst ? "before" : "after"} \`messages\`.`,
    "user + system time of Envoy and, where there are any, of the helper processes. Not a single request failed.",
    "",
    ...(loads.length === 0
      ? []
      : [
          "## Over bare Envoy, µs per request",
          "",
          "Median (quartiles) of the differences to `bare` in the same round.",
          "",
          table(head, over),
          "",
          "The same as difference of the two minima:",
          "",
          table(head, minima),
          "",
          "## Absolute, µs per request: minimum / median",
          "",
          table(head, absolute),
          "",
        ]),
    ...limitsSection(report),
    "",
    "## What each arm was seen to do before it was timed",
    "",
    "Cut-off JSON: a request whose last brace is missing; who routes it has not read it to its end. Charged: what the budgets of an arm said afterwards, against the tokens of the answers. Pieces: HTTP chunks in which Envoy handed the stream of 200 events on.",
    "",
    table(
      ["arm", "routes", "usage of JSON", "usage of SSE", "cut-off JSON", "charged", "pieces of the SSE answer", "how"],
      jobs,
    ),
    ...(absent.length === 0 ? [] : ["", ...absent.map(({ name, reason }) => `Not measured: ${name} (${reason}).`)]),
    "",
    `Node ${machine.node}, ${machine.go}; ${modules.join(", ")}.`,
    "",
  ].join("\n");
}
