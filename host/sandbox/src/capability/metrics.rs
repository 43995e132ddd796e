//! `metrics`: numbers by labels, for the export.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource};
use wasmtime::{Result, bail};

use super::super::bindings::pace::plugin::counters::OpenError;
use super::super::bindings::pace::plugin::metrics;
use super::super::direct::{
    Caller, Interface, Texts, called, numbers_if_few, split, text_if_short, texts_if_few,
};
use super::super::guest::Guest;
use super::super::meter::Meter;
use super::handles::{Handles, View, borrowed, delete, put_opened};
use super::metered::Metered;
use pace_state::{Distribution, Level, MAX_BOUNDS, MAX_LABELS, Metric, Sum};

/// A plugin's handle to a counter that is exported.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct CounterMetric(Arc<Metric<Sum>>);

/// A plugin's handle to a gauge.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct GaugeMetric(Arc<Metric<Level>>);

/// A plugin's handle to a histogram.
#[expect(
    unreachable_pub,
    reason = "the generated bindings export it again, so it has to be `pub`"
)]
pub struct HistogramMetric(Arc<Metric<Distribution>>);

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    metrics::add_to_linker::<_, Handles>(linker, |guest| View::metered(guest))
}

pub(super) fn add_directly(metrics: &mut Interface<'_>) -> Result<()> {
    metrics
        .func(
            "[static]counter.open",
            |mut caller: Caller<'_>, n: u32, nl: u32, h: u32, hl: u32, l: u32, ll: u32, out: u32| {
                open(&mut caller, [n, nl, h, hl, l, ll], out, |view, said| {
                    view.open_counter_metric(said)
                })
            },
        )?
        .func(
            "[method]counter.add",
            |mut caller: Caller<'_>, handle: u32, labels: u32, count: u32, delta: u64| {
                write(&mut caller, labels, count, |view, labels| {
                    Ok(view.counter(&borrowed(handle))?.add(labels, delta)?)
                })
            },
        )?
        .func(
            "[static]gauge.open",
            |mut caller: Caller<'_>, n: u32, nl: u32, h: u32, hl: u32, l: u32, ll: u32, out: u32| {
                open(&mut caller, [n, nl, h, hl, l, ll], out, |view, said| {
                    view.open_gauge_metric(said)
                })
            },
        )?
        .func(
            "[method]gauge.set",
            |mut caller: Caller<'_>, handle: u32, labels: u32, count: u32, value: f64| {
                write(&mut caller, labels, count, |view, labels| {
                    Ok(view.gauge(&borrowed(handle))?.set(labels, value)?)
                })
            },
        )?
        .func(
            "[method]gauge.add",
            |mut caller: Caller<'_>, handle: u32, labels: u32, count: u32, delta: f64| {
                write(&mut caller, labels, count, |view, labels| {
                    Ok(view.gauge(&borrowed(handle))?.add(labels, delta)?)
                })
            },
        )?
        .func(
            "[static]histogram.open",
            |mut caller: Caller<'_>,
             n: u32,
             nl: u32,
             h: u32,
             hl: u32,
             l: u32,
             ll: u32,
             bounds: u32,
             count: u32,
             out: u32| {
                let memory = split(&mut caller)?.0;
                let bounds = numbers_if_few::<MAX_BOUNDS>(memory, bounds, count)?;
                open(&mut caller, [n, nl, h, hl, l, ll], out, |view, said| {
                    view.open_histogram_metric(said, &bounds.ok_or(OpenError::InvalidArgument)?)
                })
            },
        )?
        .func(
            "[method]histogram.observe",
            |mut caller: Caller<'_>, handle: u32, labels: u32, count: u32, value: f64| {
                write(&mut caller, labels, count, |view, labels| {
                    Ok(view.histogram(&borrowed(handle))?.observe(labels, value)?)
                })
            },
        )?
        .func("[resource-drop]counter", delete::<CounterMetric>)?
        .func("[resource-drop]gauge", delete::<GaugeMetric>)?
        .func("[resource-drop]histogram", delete::<HistogramMetric>)?;
    Ok(())
}

/// Opens a metric for a core module that says where name, help and labels are.
fn open<T: 'static>(
    caller: &mut Caller<'_>,
    said: [u32; 6],
    out: u32,
    open: impl FnOnce(&mut View<'_>, &Said<'_>) -> Result<Resource<T>, OpenError>,
) -> Result<()> {
    called(caller)?;
    let (memory, guest) = split(caller)?;
    let (meter, mut view) = View::of(guest);
    let said = Said::read(memory, meter, said)?;
    let opened = said.and_then(|said| open(&mut view, &said));
    put_opened(memory, out, opened)
}

/// Writes to a series whose label values a core module names.
fn write(
    caller: &mut Caller<'_>,
    labels: u32,
    count: u32,
    write: impl FnOnce(&View<'_>, &[&str]) -> Result<()>,
) -> Result<()> {
    called(caller)?;
    let (memory, guest) = split(caller)?;
    let (meter, view) = View::of(guest);
    match texts_if_few::<MAX_LABELS>(memory, meter, labels, count)? {
        Some(labels) => write(&view, &labels),
        None => bail!("{count} label values were given, and no metric has more than {MAX_LABELS}"),
    }
}

/// Name, help and labels as a plugin says them.
struct Said<'a> {
    name: &'a str,
    help: &'a str,
    labels: Texts<'a>,
}

impl<'a> Said<'a> {
    /// Reads them from a core module's memory. Too long a text and too many labels are not read: they are an
    /// error of the contract whatever they are.
    fn read(
        memory: &'a [u8],
        meter: &mut Meter,
        [name, name_length, help, help_length, labels, count]: [u32; 6],
    ) -> Result<Result<Said<'a>, OpenError>> {
        let name = text_if_short(memory, meter, name, name_length)?;
        let help = text_if_short(memory, meter, help, help_length)?;
        let labels = texts_if_few::<MAX_LABELS>(memory, meter, labels, count)?;
        let read = || {
            Ok(Said {
                labels: labels.ok_or(OpenError::InvalidArgument)?,
                help: help.ok_or(OpenError::InvalidArgument)?,
                name: name.ok_or(OpenError::InvalidName)?,
            })
        };
        Ok(read())
    }
}

impl View<'_> {
    fn open_counter_metric(&mut self, said: &Said<'_>) -> Result<Resource<CounterMetric>, OpenError> {
        let metrics = self.scope.metrics();
        let metric = metrics.counter(said.name, said.help, &said.labels)?;
        self.put(CounterMetric(metric))
    }

    fn open_gauge_metric(&mut self, said: &Said<'_>) -> Result<Resource<GaugeMetric>, OpenError> {
        let metrics = self.scope.metrics();
        let metric = metrics.gauge(said.name, said.help, &said.labels)?;
        self.put(GaugeMetric(metric))
    }

    fn open_histogram_metric(
        &mut self,
        said: &Said<'_>,
        bounds: &[f64],
    ) -> Result<Resource<HistogramMetric>, OpenError> {
        let metrics = self.scope.metrics();
        let metric = metrics.histogram(said.name, said.help, &said.labels, bounds)?;
        self.put(HistogramMetric(metric))
    }

    fn counter(&self, handle: &Resource<CounterMetric>) -> Result<&Metric<Sum>> {
        Ok(&self.resources.get(handle)?.0)
    }

    fn gauge(&self, handle: &Resource<GaugeMetric>) -> Result<&Metric<Level>> {
        Ok(&self.resources.get(handle)?.0)
    }

    fn histogram(&self, handle: &Resource<HistogramMetric>) -> Result<&Metric<Distribution>> {
        Ok(&self.resources.get(handle)?.0)
    }
}

/// The number of bytes of texts that were copied out of the plugin.
fn handed(texts: &[String]) -> usize {
    texts.iter().map(String::len).sum()
}

fn said<'a>(name: &'a str, help: &'a str, labels: &'a [String]) -> Said<'a> {
    Said {
        name,
        help,
        labels: labels.iter().map(String::as_str).collect(),
    }
}

impl metrics::Host for Metered<'_, View<'_>> {}

impl metrics::HostCounter for Metered<'_, View<'_>> {
    fn open(
        &mut self,
        name: String,
        help: String,
        labels: Vec<String>,
    ) -> Result<Result<Resource<CounterMetric>, OpenError>> {
        let view = self.given(name.len() + help.len() + handed(&labels))?;
        Ok(view.open_counter_metric(&said(&name, &help, &labels)))
    }

    fn add(&mut self, counter: Resource<CounterMetric>, labels: Vec<String>, delta: u64) -> Result<()> {
        let view = self.given(handed(&labels))?;
        Ok(view.counter(&counter)?.add(&labels, delta)?)
    }

    fn drop(&mut self, counter: Resource<CounterMetric>) -> Result<()> {
        self.view()?.resources.delete(counter)?;
        Ok(())
    }
}

impl metrics::HostGauge for Metered<'_, View<'_>> {
    fn open(
        &mut self,
        name: String,
        help: String,
        labels: Vec<String>,
    ) -> Result<Result<Resource<GaugeMetric>, OpenError>> {
        let view = self.given(name.len() + help.len() + handed(&labels))?;
        Ok(view.open_gauge_metric(&said(&name, &help, &labels)))
    }

    fn set(&mut self, gauge: Resource<GaugeMetric>, labels: Vec<String>, value: f64) -> Result<()> {
        let view = self.given(handed(&labels))?;
        Ok(view.gauge(&gauge)?.set(&labels, value)?)
    }

    fn add(&mut self, gauge: Resource<GaugeMetric>, labels: Vec<String>, delta: f64) -> Result<()> {
        let view = self.given(handed(&labels))?;
        Ok(view.gauge(&gauge)?.add(&labels, delta)?)
    }

    fn drop(&mut self, gauge: Resource<GaugeMetric>) -> Result<()> {
        self.view()?.resources.delete(gauge)?;
        Ok(())
    }
}

impl metrics::HostHistogram for Metered<'_, View<'_>> {
    fn open(
        &mut self,
        name: String,
        help: String,
        labels: Vec<String>,
        bounds: Vec<f64>,
    ) -> Result<Result<Resource<HistogramMetric>, OpenError>> {
        let view = self.given(name.len() + help.len() + handed(&labels))?;
        Ok(view.open_histogram_metric(&said(&name, &help, &labels), &bounds))
    }

    fn observe(
        &mut self,
        histogram: Resource<HistogramMetric>,
        labels: Vec<String>,
        value: f64,
    ) -> Result<()> {
        let view = self.given(handed(&labels))?;
        Ok(view.histogram(&histogram)?.observe(&labels, value)?)
    }

    fn drop(&mut self, histogram: Resource<HistogramMetric>) -> Result<()> {
        self.view()?.resources.delete(histogram)?;
        Ok(())
    }
}
