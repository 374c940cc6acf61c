/** Exports of filters/lib/orca-report for its tests on Node. */
import "../../../filters/sdk/abort";
import { OrcaReport } from "../../../filters/lib/orca-report";

const report = new OrcaReport();
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size);
  return input;
}

export function read(at: usize, length: i32): bool {
  return report.read(at, length);
}

export function waiting(): i32 {
  return report.waiting;
}

export function running(): i32 {
  return report.running;
}

export function kvPermille(): i32 {
  return report.kvPermille;
}
