// A real API server of Kubernetes for the integration run: kube-apiserver built from its Go module (some 8 minutes of one core, 106 MB), and etcd from Debian.
// No controllers and no kubelets: the tests write the EndpointSlices that controllers would.
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { unpackPackage } from "../setup/debian-package.mjs";
import { run, step, Trouble, tail } from "../setup/progress.mjs";
import { etcd, kubernetes, placeOf } from "./places.mjs";

const module = join(dirname(fileURLToPath(import.meta.url)), "kubernetes-api-server");
const timeoutMs = 3_600_000;
/** Without it the server takes itself for a build between releases. */
const version = "k8s.io/component-base/version.git";

/** @returns the programs: `command` is kube-apiserver, `etcd` its store */
export async function prepare() {
  const [command, store] = [placeOf(kubernetes), placeOf(etcd)];
  if (!existsSync(store)) await step("etcd (from Debian)", () => unpackEtcd(dirname(store)));
  if (!existsSync(command))
    await step("kube-apiserver 1.36.3 (from its Go module, up to 15 minutes)", () => build(command));
  return { command, etcd: store };
}

async function unpackEtcd(folder) {
  mkdirSync(dirname(folder), { recursive: true });
  const reason = await unpackPackage({ name: "etcd-server", program: "etcd", folder });
  if (reason !== undefined) throw new Trouble(`etcd cannot be had: ${reason}`);
}

async function build(command) {
  const source = join(dirname(command), "source");
  const staging = `${command}.part`;
  mkdirSync(source, { recursive: true });
  for (const file of ["go.mod", "program.go"]) copyFileSync(join(module, file), join(source, file));
  const linker = ["-s", "-w", `-X ${version}Version=v1.36.3`, `-X ${version}Major=1`, `-X ${version}Minor=36`].join(
    " ",
  );
  const flags = ["-mod=mod", "-trimpath", `-ldflags=${linker}`];
  const { code, missing, output } = await run(
    "go",
    ["build", ...flags, "-o", staging, "k8s.io/kubernetes/cmd/kube-apiserver"],
    { cwd: source, timeoutMs },
  );
  if (missing) throw new Trouble("kube-apiserver cannot be built: Go is not on PATH (https://go.dev/dl)");
  if (code !== 0) throw new Trouble(`kube-apiserver cannot be built: ${tail(output, 3)}`);
  const started = await run(staging, ["--version"], { timeoutMs: 60_000 });
  if (started.code !== 0)
    throw new Trouble(`the kube-apiserver that was built does not run: ${tail(started.output, 3)}`);
  renameSync(staging, command);
  rmSync(source, { recursive: true, force: true });
}
