/** `tokenmesh get | status | snapshot | endpoints`: what a server has. */
import { type Command, Option } from "commander";
import { stringify } from "yaml";
import { kindNamed, kindPath } from "../api/kind-paths.ts";
import { KINDS_SERVED } from "../config/index.ts";
import { ServerError } from "../errors.ts";
import {
  type EndpointReport,
  endpointsText,
  type NodeReport,
  type StatusReport,
  statusText,
  table,
} from "./reports.ts";
import { addServerOptions, clientOf, type ServerOptions } from "./server-options.ts";

type Form = "text" | "yaml" | "json";

interface ReadOptions extends ServerOptions {
  readonly output?: Form;
  readonly namespace?: string;
  readonly group?: string;
}

function print(value: unknown, form: Form | undefined, text: () => string): void {
  const shown =
    form === "json" ? `${JSON.stringify(value, undefined, 2)}\n` : form === "yaml" ? stringify(value) : `${text()}\n`;
  process.stdout.write(shown);
}

interface ShownDocument {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

async function get(kindName: string, name: string | undefined, options: ReadOptions): Promise<void> {
  const kind = kindNamed(KINDS_SERVED, kindName);
  if (kind === undefined) {
    const names = KINDS_SERVED.map((each) => each.kind).join(", ");
    throw new ServerError("TM_USAGE", `there is no kind ${kindName}; kinds are ${names}`);
  }
  const { namespace = "default", output } = options;
  const value = await clientOf(options).value(kindPath(kind, namespace, name));
  const items = (
    name === undefined ? (value as { readonly items: readonly unknown[] }).items : [value]
  ) as readonly ShownDocument[];
  print(value, output, () => {
    const rows = items.map(({ metadata: { name: each, namespace: of, resourceVersion = "-", annotations } }) => [
      of,
      each,
      resourceVersion,
      annotations?.["tokenmesh.io/origin"] ?? "",
    ]);
    return table(["NAMESPACE", "NAME", "VERSION", "FROM"], rows);
  });
}

async function status(options: ReadOptions): Promise<void> {
  const client = clientOf(options);
  const report = (await client.value("/api/v1/status")) as StatusReport;
  const { nodes } = (await client.value("/api/v1/nodes")) as { readonly nodes: readonly NodeReport[] };
  print({ ...report, envoys: nodes }, options.output, () => statusText(report, nodes));
}

async function snapshot(options: ReadOptions): Promise<void> {
  const { group = "default", output = "yaml" } = options;
  const value = await clientOf(options).value(`/api/v1/snapshot?group=${encodeURIComponent(group)}`);
  print(value, output, () => stringify(value));
}

async function endpoints(cluster: string | undefined, options: ReadOptions): Promise<void> {
  const query = cluster === undefined ? "" : `?cluster=${encodeURIComponent(cluster)}`;
  const answer = (await clientOf(options).value(`/api/v1/endpoints${query}`)) as {
    readonly endpoints: readonly EndpointReport[];
  };
  print(answer, options.output, () => endpointsText(answer.endpoints));
}

/** Adds `get`, `status`, `snapshot` and `endpoints`. */
export function addReadCommands(program: Command): void {
  const reading = (name: string, description: string, forms: readonly Form[] = ["text", "yaml", "json"]) =>
    addServerOptions(program.command(name).description(description)).addOption(
      new Option("-o, --output <form>", "how to print it").choices(forms),
    );
  reading("get", "print documents of a kind, or one of them")
    .argument("<kind>", "such as virtualservice, gateways or LLMRouter")
    .argument("[name]")
    .option("-n, --namespace <name>", "their namespace", "default")
    .action(get);
  reading("status", "print what is served, which Envoys are connected, and what they rejected").action(status);
  reading("snapshot", "print the resources that are served, decoded, secrets hidden", ["yaml", "json"])
    .option("--group <name>", "node group", "default")
    .action(snapshot);
  reading("endpoints", "print the endpoints that are served, of one cluster or of all")
    .argument("[cluster]", "name of the Envoy cluster")
    .action(endpoints);
}
