//! A chart of lines over one axis, as a PNG.

use std::convert::Infallible;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_9X15;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, Polyline, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Text};

/// Width and height of a picture.
const SIZE: Size = Size::new(1000, 600);

/// Space around the axes: left, top, right, below.
const MARGINS: [i32; 4] = [60, 40, 170, 50];

/// Colours of the lines, told apart also by those who see few colours.
const COLOURS: [Rgb888; 5] = [
    Rgb888::new(0x00, 0x00, 0x00),
    Rgb888::new(0xD5, 0x5E, 0x00),
    Rgb888::new(0x00, 0x72, 0xB2),
    Rgb888::new(0x00, 0x9E, 0x73),
    Rgb888::new(0xCC, 0x79, 0xA7),
];

/// A line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    /// What the axis across means.
    pub(super) across: &'static str,
    /// Ends of the axis across, with a line at every twelfth number.
    pub(super) x: (f64, f64),
    /// Ends of the axis upwards, with a line at every tenth number.
    pub(super) y: (f64, f64),
    pub(super) series: Vec<Series>,
}

/// A picture cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {reason}", path.display())]
pub(crate) struct ChartError {
    path: PathBuf,
    reason: String,
}

impl Chart {
    /// Draws the chart into its file in a folder, and returns its path.
    ///
    /// # Errors
    /// [`ChartError`] when the file cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, ChartError> {
        let path = folder.join(self.file);
        let failed = |reason: String| ChartError { path: path.clone(), reason };
        let mut canvas = Canvas { pixels: vec![0xFF; 3 * (SIZE.width * SIZE.height) as usize] };
        let Ok(()) = self.draw(&mut canvas);
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let file = File::create(&path).map_err(|error| failed(error.to_string()))?;
        let mut encoder = png::Encoder::new(BufWriter::new(file), SIZE.width, SIZE.height);
        encoder.set_color(png::ColorType::Rgb);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&canvas.pixels)?;
            writer.finish()
        });
        written.map_err(|error| failed(error.to_string()))?;
        Ok(path)
    }

    fn draw(&self, canvas: &mut Canvas) -> Result<(), Infallible> {
        let [left, top, right, below] = MARGINS;
        let (width, height) = (SIZE.width as i32 - left - right, SIZE.height as i32 - top - below);
        let part = |value: f64, (low, high): (f64, f64)| ((value - low) / (high - low)).clamp(0.0, 1.0);
        let x = |value| left + (part(value, self.x) * f64::from(width)) as i32;
        let y = |value| top + height - (part(value, self.y) * f64::from(height)) as i32;
        let text = MonoTextStyle::new(&FONT_9X15, Rgb888::BLACK);
        let faint = PrimitiveStyle::with_stroke(Rgb888::new(0xDD, 0xDD, 0xDD), 1);
        Text::new(self.title, Point::new(left, top - 15), text).draw(canvas)?;
        for value in ticks(self.x, 12.0) {
            let (from, to) = (Point::new(x(value), top), Point::new(x(value), top + height));
            Line::new(from, to).into_styled(faint).draw(canvas)?;
            let at = to + Point::new(0, 18);
            Text::with_alignment(&format!("{value:+}"), at, text, Alignment::Center).draw(canvas)?;
        }
        let middle = Point::new(left + width / 2, top + height + 38);
        Text::with_alignment(self.across, middle, text, Alignment::Center).draw(canvas)?;
        for value in ticks(self.y, 10.0) {
            let (from, to) = (Point::new(left, y(value)), Point::new(left + width, y(value)));
            Line::new(from, to).into_styled(faint).draw(canvas)?;
            let at = from + Point::new(-8, 5);
            Text::with_alignment(&format!("{value}"), at, text, Alignment::Right).draw(canvas)?;
        }
        let frame = Rectangle::new(Point::new(left, top), Size::new(width as u32, height as u32));
        frame.into_styled(PrimitiveStyle::with_stroke(Rgb888::BLACK, 1)).draw(canvas)?;
        for (index, (series, colour)) in self.series.iter().zip(COLOURS).enumerate() {
            let points: Vec<Point> = series.points.iter().map(|point| Point::new(x(point.0), y(point.1))).collect();
            // Thinner and thinner, so that a line shows on both sides of one that runs over it.
            let stroke = PrimitiveStyle::with_stroke(colour, 2 * (self.series.len() - index) as u32);
            Polyline::new(&points).into_styled(stroke).draw(canvas)?;
            let at = Point::new(left + width + 15, top + 20 + 24 * index as i32);
            let sample = Line::new(at - Point::new(0, 5), at + Point::new(20, -5));
            sample.into_styled(stroke).draw(canvas)?;
            Text::new(series.name, at + Point::new(28, 0), text).draw(canvas)?;
        }
        Ok(())
    }
}

/// Returns the multiples of a number from one end of an axis to the other.
fn ticks((low, high): (f64, f64), every: f64) -> impl Iterator<Item = f64> {
    let first = (low / every).ceil() as i32;
    (first..=(high / every).floor() as i32).map(move |multiple| f64::from(multiple) * every)
}

/// The pixels of a picture, three bytes each, row by row.
struct Canvas {
    pixels: Vec<u8>,
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        SIZE
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, colour) in pixels {
            if !self.bounding_box().contains(point) {
                continue;
            }
            let at = 3 * (point.y as usize * SIZE.width as usize + point.x as usize);
            self.pixels[at..at + 3].copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
        }
        Ok(())
    }
}
