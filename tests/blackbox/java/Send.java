import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/**
 * Sends the records of stdin, one a line in Avro's JSON encoding, as a Java program of somebody else does: with Kafka's
 * producer, and the serializer that its properties name. Prints the partition and the offset of each.
 *
 * <p>Arguments: the topic, the file of the schema, and the producer's properties as KEY=VALUE.
 */
public final class Send {
    public static void main(String[] arguments) throws Exception {
        String topic = arguments[0];
        Schema schema = new Schema.Parser().parse(new File(arguments[1]));
        Map<String, Object> properties = new HashMap<>();
        for (int i = 2; i < arguments.length; i++) {
            String[] property = arguments[i].split("=", 2);
            properties.put(property[0], property[1]);
        }
        GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], GenericRecord> producer = new KafkaProducer<>(properties)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                GenericRecord value = reader.read(null, DecoderFactory.get().jsonDecoder(schema, line));
                sent.add(producer.send(new ProducerRecord<>(topic, value)));
            }
        }
        for (Future<RecordMetadata> each : sent) {
            System.out.println(each.get().partition() + " " + each.get().offset());
        }
    }
}
