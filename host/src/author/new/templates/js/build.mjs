// `pace plugin build` runs this, and so does `npm run build`: plugin.js becomes plugin.wasm.
import { componentize } from '@bytecodealliance/componentize-js';
import { rename, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';

const { component } = await componentize({
  sourcePath: resolve('plugin.js'),
  witPath: resolve('wit'),
  worldName: 'component',
  // A plugin has what Pace lends it. What remains, stdio, is its log: console.log, and why a hook threw.
  disableFeatures: ['clocks', 'fetch-event', 'http', 'random'],
});
await writeFile('plugin.wasm.new', component);
await rename('plugin.wasm.new', 'plugin.wasm');
