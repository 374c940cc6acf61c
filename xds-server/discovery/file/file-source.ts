/** A file as a source: read when it changes, as a whole. A file that is not there or wrong leaves everything as it was; a service that is not in it has no endpoints. */
import { type FSWatcher, readFileSync, statSync, watch as watchFolder } from "node:fs";
import { dirname } from "node:path";
import type { DiscoverySourceSpec } from "../../config/discovery-model.ts";
import { MAX_FILE_BYTES } from "../../config/limits.ts";
import type { SourceContext, SourceFactory } from "../context.ts";
import { DiscoveryError } from "../errors.ts";
import { ServiceObservers } from "../registry-client/index.ts";
import type { DiscoverySource, ServiceObserver } from "../source.ts";
import { type EndpointFile, parseEndpointFile } from "./endpoint-file.ts";
import { SETTLE_MS } from "./limits.ts";

export const fileSource: SourceFactory = (spec, context) => {
  if (spec.file === undefined) throw new Error("not a DiscoverySource of a file");
  return new FileSource(spec, spec.file.path, context);
};

type Content = { readonly services: EndpointFile } | { readonly error: DiscoveryError };

class FileSource implements DiscoverySource {
  readonly kind = "file";
  readonly #path: string;
  readonly #interval: number;
  readonly #context: SourceContext;
  readonly #services = new Map<string, ServiceObservers>();
  #content: Content | undefined;
  /** Of the file as it was when it was read. */
  #stamp = "";
  /** Of a file that has changed and may still be written. */
  #changing = "";
  #cancel: (() => void) | undefined;
  #events: FSWatcher | undefined;

  constructor({ poll }: DiscoverySourceSpec, path: string, context: SourceContext) {
    this.#path = path;
    // A look at the file costs microseconds: the upper bound of the times between two is for sources that are asked over a network.
    this.#interval = poll.min;
    this.#context = context;
    this.#watchFolder();
    this.#plan(0);
  }

  watch(service: string, observer: ServiceObserver): () => void {
    let observers = this.#services.get(service);
    if (observers === undefined) {
      const added = new ServiceObservers();
      observers = added;
      this.#services.set(service, added);
      queueMicrotask(() => {
        if (this.#content !== undefined && this.#services.get(service) === added) tell(service, added, this.#content);
      });
    }
    const own = observers;
    const end = own.add(observer);
    return () => {
      end();
      if (own.size === 0 && this.#services.get(service) === own) this.#services.delete(service);
    };
  }

  close(): Promise<void> {
    this.#plan(undefined);
    this.#events?.close();
    this.#events = undefined;
    for (const observers of this.#services.values()) observers.clear();
    this.#services.clear();
    return Promise.resolve();
  }

  /** The fast path; the regular look finds what these events miss, such as symbolic links that are swapped further up. */
  #watchFolder(): void {
    try {
      this.#events = watchFolder(dirname(this.#path), { persistent: false }, () => this.#plan(SETTLE_MS));
      this.#events.on("error", () => {});
    } catch {
      // A folder that is not there yet.
    }
  }

  #plan(delay: number | undefined): void {
    this.#cancel?.();
    this.#cancel = delay === undefined ? undefined : this.#context.clock.after(delay, () => this.#look());
  }

  #look(): void {
    const stamp = stampOf(this.#path);
    if (stamp === this.#stamp) {
      this.#plan(this.#interval);
    } else if (stamp !== this.#changing) {
      this.#changing = stamp;
      this.#plan(SETTLE_MS);
    } else {
      this.#stamp = stamp;
      this.#content = contentOf(this.#path);
      for (const [service, observers] of [...this.#services]) tell(service, observers, this.#content);
      // Observers may have closed the source.
      if (this.#cancel !== undefined) this.#plan(this.#interval);
    }
  }
}

function tell(service: string, observers: ServiceObservers, content: Content): void {
  if ("error" in content) observers.failed(content.error);
  else observers.endpoints(content.services.get(service) ?? []);
}

function contentOf(path: string): Content {
  try {
    return { services: parseEndpointFile(path, textOf(path)) };
  } catch (error) {
    if (error instanceof DiscoveryError) return { error };
    const { code = "unreadable" } = error as NodeJS.ErrnoException;
    return { error: new DiscoveryError("TM_DISCOVERY_UNREACHABLE", `file ${path} cannot be read (${code})`) };
  }
}

function textOf(path: string): string {
  const found = statSync(path);
  // To open a pipe could block for ever.
  if (!found.isFile()) throw new DiscoveryError("TM_DISCOVERY_MALFORMED", `${path} is not a file`);
  if (found.size > MAX_FILE_BYTES)
    throw new DiscoveryError("TM_DISCOVERY_TOO_LARGE", `file ${path} has more than ${MAX_FILE_BYTES} bytes`);
  return readFileSync(path, "utf8");
}

/** Changes with the file, also when another is put in its place. */
function stampOf(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
