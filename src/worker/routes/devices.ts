/** App origin: the devices of one gateway, and the differences between its own list and ours. */
import type * as z from "zod";
import { differenceMendSchema, gatewayNameSchema, receiptSchema, suspendedSchema } from "../../protocol/api.ts";
import { receiptFileSchema } from "../../protocol/receipt.ts";
import { receiptDownload } from "../services/receipt-download.ts";
import { route } from "./checked-route.ts";
import { roomOf, valueOf } from "./decisions.ts";

export const deviceRoutes = [
  route<z.infer<typeof gatewayNameSchema>>({
    method: "PATCH",
    path: "/api/gateways/:gateway/devices/:device",
    summary: "Renames a device",
    auth: "account",
    body: gatewayNameSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.renameDevice({ account, device: call.param("device"), name: call.body.name }));
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/devices/:device/keep",
    summary: "Answers for a device that was allowed: it was the owner",
    auth: "account",
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.keepDevice({ account, device: call.param("device") }));
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/devices/:device/suspend",
    summary: "Suspends a device: its connections end and none opens until the owner lets it go on",
    auth: "account",
    takesToken: true,
    answer: suspendedSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.suspend({ account, device: call.param("device"), token: call.token }));
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/devices/:device/resume",
    summary: "Lets a suspended device go on",
    auth: "account",
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.resume({ account, device: call.param("device") }));
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/devices/:device/block-for-good",
    summary: "Keeps a blocked device from asking until somebody unblocks it",
    auth: "account",
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.blockForGood({ account, device: call.param("device") }));
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/devices/:device/unblock",
    summary: "Lets a blocked device ask again; it admits nobody",
    auth: "account",
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.unblock({ account, device: call.param("device") }));
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/devices/:device/cut",
    summary: "Cuts a device now",
    auth: "account",
    answer: receiptSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.cut({ account, device: call.param("device") }));
    },
  }),
  route({
    method: "GET",
    path: "/api/gateways/:gateway/devices/:device/cut",
    summary: "The receipt of the latest cut",
    auth: "account",
    answer: receiptSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.receipt({ account, device: call.param("device") }));
    },
  }),
  route({
    method: "GET",
    path: "/api/gateways/:gateway/devices/:device/receipt.json",
    summary: "The signed receipt of the latest cut, as a file; `not-found` until the gateway's machine has signed it",
    auth: "account",
    answer: receiptFileSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      const device = call.param("device");
      return receiptDownload(device, valueOf(await room.receiptFile({ account, device })));
    },
  }),
  route<z.infer<typeof differenceMendSchema>>({
    method: "POST",
    path: "/api/gateways/:gateway/differences/:entry",
    summary: "Takes an entry out of the gateway's own pairing list, or says that it is fine",
    auth: "account",
    body: differenceMendSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.mend({ account, entry: call.param("entry"), what: call.body.what }));
      return {};
    },
  }),
];
