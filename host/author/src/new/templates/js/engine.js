// Runs before plugin.js, and has what cannot work in a plugin say so.

const impossible = {
  fetch: 'a plugin has no network',
  setInterval: 'a hook cannot wait',
  setTimeout: 'a hook cannot wait',
};
for (const [name, why] of Object.entries(impossible)) {
  globalThis[name] = () => {
    throw new Error(`${name} cannot be called: ${why}`);
  };
}

// Code outside of functions runs once, when the component is made: every instance would begin with the same number.
let making = true;

export function made() {
  making = false;
}

for (const [name, owner, method] of [
  ['Math', Math, 'random'],
  ['crypto', crypto, 'getRandomValues'],
  ['crypto', crypto, 'randomUUID'],
  ['performance', performance, 'now'],
]) {
  const call = owner[method].bind(owner);
  owner[method] = (...given) => {
    if (making) throw new Error(`${name}.${method} cannot be called while the component is made: call it in a function`);
    return call(...given);
  };
}
