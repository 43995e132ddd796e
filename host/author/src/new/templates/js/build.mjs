// `pace plugin build` runs this, checks what it has written, and makes it plugin.wasm.
import { componentize } from '@bytecodealliance/componentize-js';
import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';

const { component } = await componentize({
  sourcePath: resolve('plugin.js'),
  witPath: resolve('wit'),
  worldName: 'component',
  // A plugin has what Pace lends it. What remains, stdio, is its log: console.log, and why a hook threw.
  disableFeatures: ['clocks', 'fetch-event', 'http', 'random'],
});
await mkdir('build', { recursive: true });
await writeFile('build/plugin.wasm', component);
