/**
 * One protobufjs Root, filled lazily: a message's file (and its imports) is parsed when the message is first used. All files that the
 * server needs parse in about 0.15 s; the whole package would take several times that.
 *
 * protobufjs has the well-known types built in, but not `descriptor.proto`; every `validate` and `udpa` option file extends it, so it is
 * loaded first. `keepCase` keeps Envoy's own field names.
 */
import protobuf from "protobufjs";
import { OVERLAYS, type Overlay } from "./overlay.ts";
import { findProtoFile, protoFilesIn } from "./source-files.ts";
import { protoFileOf } from "./type-urls.ts";

const root = createRoot();
const loaded = new Set<string>();
const types = new Map<string, protobuf.Type>();

function createRoot(): protobuf.Root {
  const created = new protobuf.Root();
  created.resolvePath = (_origin, target) => {
    if (protobuf.common.get(target)) return target;
    const path = findProtoFile(target);
    if (path === undefined) throw new Error(`no such proto file in @grpc/grpc-js-xds: ${target}`);
    return path;
  };
  return created;
}

function load(files: readonly string[]): void {
  const missing = files.filter((file) => !loaded.has(file));
  if (missing.length === 0) return;
  if (loaded.size === 0) root.loadSync("google/protobuf/descriptor.proto", { keepCase: true });
  for (const file of missing) loaded.add(file);
  const present = missing.filter((file) => protobuf.common.get(file) || findProtoFile(file) !== undefined);
  if (present.length > 0) root.loadSync(present, { keepCase: true });
  for (const overlay of OVERLAYS) if (!applied.has(overlay)) applyOverlay(overlay);
}

const applied = new Set<Overlay>();

/** An overlay is applied as soon as its file is in the Root, whether it was asked for or came in as an import of another file. */
function applyOverlay(overlay: Overlay): void {
  const extended = overlay.messages.find((entry) => entry.isNew === undefined);
  const due = extended === undefined ? loaded.has(overlay.file) : lookup(extended.message) !== undefined;
  if (!due) return;
  applied.add(overlay);
  load(overlay.imports);
  for (const entry of overlay.enums) {
    if (root.lookup(entry.enum) === null) define(entry.enum, (name) => new protobuf.Enum(name, { ...entry.values }));
  }
  for (const entry of [...overlay.messages].sort((a, b) => a.message.length - b.message.length)) {
    const type = lookup(entry.message) ?? define(entry.message, (name) => new protobuf.Type(name));
    for (const field of entry.fields) {
      // The npm package has caught up: its own definition wins (overlay.test.ts then asks for the row to be removed).
      if (type.fields[field.name] !== undefined) continue;
      type.add(new protobuf.Field(field.name, field.number, field.type, field.repeated ? "repeated" : undefined));
    }
  }
}

function define<T extends protobuf.ReflectionObject>(fullName: string, create: (name: string) => T): T {
  const cut = fullName.lastIndexOf(".");
  const parentName = fullName.slice(0, cut);
  const object = create(fullName.slice(cut + 1));
  const parent = lookup(parentName) ?? root.define(parentName);
  parent.add(object);
  return object;
}

function lookup(message: string): protobuf.Type | undefined {
  const found = root.lookup(message, [protobuf.Type]);
  // Half a name finds any message that ends like it.
  return found instanceof protobuf.Type && found.fullName === `.${message}` ? found : undefined;
}

/**
 * The reflection type of a full message name; parses its file on first use. A name that is not registered in `type-urls.ts` is looked for in the files of its
 * package.
 * @throws Error when there is no such message
 */
export function messageType(message: string): protobuf.Type {
  const cached = types.get(message);
  if (cached !== undefined) return cached;
  const file = protoFileOf(message);
  load(file === undefined ? filesOfPackage(message) : [file]);
  const type = lookup(message);
  if (type === undefined && file !== undefined) throw new Error(`message ${message} is not in ${file}`);
  if (type === undefined) {
    throw new Error(`message ${message} is not registered in protos/type-urls.ts, and no file of its package has it`);
  }
  types.set(message, type);
  return type;
}

const packages = new Map<string, readonly string[]>();

/** A package is a folder: what is in `a.b.v3` is in a file of `a/b/v3`. Only files that are whole with all that they import. */
function filesOfPackage(message: string): readonly string[] {
  const [, name] = /^((?:[a-z0-9_]+\.)+)[A-Z]\w*(?:\.[A-Z]\w*)*$/.exec(message) ?? [];
  if (name === undefined) return [];
  const known = packages.get(name);
  if (known !== undefined) return known;
  const files = protoFilesIn(name.slice(0, -1).replaceAll(".", "/"));
  const whole = files.length === 0 || isWhole(files) ? files : files.filter((file) => isWhole([file]));
  if (files.length > 0) packages.set(name, whole);
  return whole;
}

/**
 * Whether files can be read and everything in them is there. A Root that has read one that is not fails for every message afterwards, so this is tried in another; the
 * npm package has files of Envoy's old API whose imports it does not have.
 */
function isWhole(files: readonly string[]): boolean {
  try {
    const trial = createRoot();
    trial.loadSync(["google/protobuf/descriptor.proto", ...files], { keepCase: true });
    trial.resolveAll();
    return true;
  } catch {
    return false;
  }
}
