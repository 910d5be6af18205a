/** Each file of this project leaves the globals as it found them. */
import { expectCleanGlobals } from "../support/clean-globals.ts";

expectCleanGlobals();
