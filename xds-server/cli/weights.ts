/** `tokenmesh weights get | set`: weights of endpoints at run time. */
import type { Command } from "commander";
import { ServerError } from "../errors.ts";
import { ApiFailure } from "./api-client.ts";
import { detailText, type WeightReport, weightsText } from "./reports.ts";
import { addServerOptions, clientOf, type ServerOptions } from "./server-options.ts";

interface WeightOptions extends ServerOptions {
  readonly json?: true;
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** `10.0.0.1:8000=50`, `[::1]:8000=0`, `10.0.0.1:8000=default`, `unix:///path=50`. @throws ServerError TM_USAGE */
function parseWeight(cluster: string, text: string): WeightReport {
  // A path may end like a port.
  const form = text.startsWith("unix://") ? /^(.+)()=(\d{1,9}|default)$/ : /^(.+):(\d{1,5})=(\d{1,9}|default)$/;
  const [, address = "", port, weight] = form.exec(text) ?? [];
  if (port === undefined)
    throw new ServerError(
      "TM_USAGE",
      `${JSON.stringify(text)} is not ADDRESS:PORT=WEIGHT or unix:///PATH=WEIGHT (or =default)`,
    );
  return {
    cluster,
    address: address.replace(/^\[|\]$/g, ""),
    port: Number(port),
    weight: weight === "default" ? null : Number(weight),
  };
}

async function show(options: WeightOptions): Promise<void> {
  const { changes } = (await clientOf(options).value("/api/v1/weights")) as {
    readonly changes: readonly WeightReport[];
  };
  print(options.json ? JSON.stringify(changes, undefined, 2) : weightsText(changes));
}

async function set(cluster: string, weights: readonly string[], options: WeightOptions): Promise<void> {
  const changes = weights.map((each) => parseWeight(cluster, each));
  const body = JSON.stringify({ changes });
  try {
    const answer = await clientOf(options).value("/api/v1/weights", { method: "PUT", body });
    const { version } = answer as { readonly version: string };
    print(options.json ? JSON.stringify(answer, undefined, 2) : `in force with version ${version}`);
  } catch (error) {
    if (error instanceof ApiFailure) {
      for (const detail of error.details) print(detailText(detail));
      process.exitCode = error.status === 400 || error.status === 422 ? 1 : 2;
    }
    throw error;
  }
}

/** Adds `weights get` and `weights set`. */
export function addWeightCommands(program: Command): void {
  const weights = program.command("weights").description("weights of endpoints at run time");
  const asking = (name: string, description: string) =>
    addServerOptions(weights.command(name).description(description)).option("--json", "print JSON");
  asking("get", "print the weights that were set").action(show);
  asking("set", "set weights of a cluster's endpoints, all or none; 0 drains, `default` takes back what was set")
    .argument("<cluster>", "name of the Envoy cluster")
    .argument("<address:port=weight...>")
    .action(set);
}
